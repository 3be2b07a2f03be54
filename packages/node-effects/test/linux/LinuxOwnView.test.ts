import { describe, expect, it } from 'vitest';
import { isFirstMountNamespace } from '../../src/linux/LinuxOwnView.js';

describe('the first mount namespace of a machine', () => {
  it.each([
    ['mnt:[4026531832]', '6.18.44-fc', true],
    ['mnt:[4026531840]', '5.10.0-30-amd64', true],
    ['mnt:[4026531841]', '6.1.0', true],
    ['mnt:[4026531840]', '6.18.44-fc', false],
    ['mnt:[4026532217]', '6.1.0', false],
    ['mnt:[4026531840]', '7.0', false],
  ])('%s of a kernel %s: %s', (mount, kernel, is) => {
    expect(isFirstMountNamespace(mount, kernel)).toBe(is);
  });
});
