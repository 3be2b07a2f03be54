import { testThousands } from '../thousands.js';

testThousands('careful', { seed: 500_000, cases: 4_000 });
