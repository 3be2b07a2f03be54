import { testCrashes } from '../crashes.js';

testCrashes('containerd-1.6');
