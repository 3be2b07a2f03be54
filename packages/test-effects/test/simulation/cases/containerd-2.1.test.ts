import { testThousands } from '../thousands.js';

testThousands('containerd-2.1', { seed: 400_000, cases: 1_000 });
