import { testFaults } from '../faults.js';

testFaults('careful');
