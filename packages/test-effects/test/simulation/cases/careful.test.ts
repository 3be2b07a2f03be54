import { testThousands } from '../thousands.js';

testThousands('careful', { seed: 500_000, cases: 2_000 });
