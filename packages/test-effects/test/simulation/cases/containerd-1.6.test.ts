import { testThousands } from '../thousands.js';

testThousands('containerd-1.6', { seed: 300_000, cases: 1_500 });
