import { testCrashes } from '../crashes.js';

testCrashes('containerd-2.1');
