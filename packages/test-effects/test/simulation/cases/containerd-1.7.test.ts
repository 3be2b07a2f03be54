import { testThousands } from '../thousands.js';

testThousands('containerd-1.7', { seed: 100_000, cases: 5_000 });
