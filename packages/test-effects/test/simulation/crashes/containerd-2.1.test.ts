import { testCrashes } from '../crashes.js';

testCrashes('containerd-2.1', { met: ['H11', 'H30'] });
