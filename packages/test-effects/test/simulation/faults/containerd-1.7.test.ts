import { testFaults } from '../faults.js';

testFaults('containerd-1.7');
