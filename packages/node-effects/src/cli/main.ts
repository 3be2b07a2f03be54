#!/usr/bin/env node
const [command = 'demo', ...args] = process.argv.slice(2);

process.stdout.write(`${JSON.stringify({ command, args })}\n`);
