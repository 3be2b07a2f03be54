import { testCrashes } from '../crashes.js';

testCrashes('containerd-1.7', { met: ['H10', 'H11', 'H30'] });
