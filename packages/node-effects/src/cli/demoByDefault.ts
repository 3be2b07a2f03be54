/** What `npm start` runs: the command as it was typed, or the demonstration when nothing was. */
if (process.argv.length === 2) process.argv.push('demo');

void import('./bin.js');
