import { testCrashes } from '../crashes.js';

testCrashes('containerd-1.6', { met: ['H11', 'H30'] });
