import { testThousands } from '../thousands.js';

testThousands('careful', { seed: 501_000, cases: 3_000 });
