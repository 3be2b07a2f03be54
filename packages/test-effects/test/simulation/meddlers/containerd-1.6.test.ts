import { testMeddlers } from '../meddlers.js';

testMeddlers('containerd-1.6');
