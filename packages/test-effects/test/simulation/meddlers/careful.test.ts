import { testMeddlers } from '../meddlers.js';

testMeddlers('careful');
