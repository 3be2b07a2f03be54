import { testFaults } from '../faults.js';

testFaults('containerd-2.1');
