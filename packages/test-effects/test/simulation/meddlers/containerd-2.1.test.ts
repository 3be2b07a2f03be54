import { testMeddlers } from '../meddlers.js';

testMeddlers('containerd-2.1');
