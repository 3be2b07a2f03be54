import { testCrashes } from '../crashes.js';

testCrashes('careful', { met: [] });
