/** Finds what the prose rules of CONTRIBUTING.md ban, in documents and in comments. */

/** A place with something to be written again. */
export interface Flaw {
  readonly line: number;
  readonly what: string;
}

/** Words that hide the actor, and phrases that have to be read twice. */
const banned: ReadonlyArray<readonly [pattern: RegExp, what: string]> = [
  [/\b(?:whoever|nobody|somebody|whomever)\b/i, 'names no actor'],
  [/(?<!\bthere )\bis no (?!longer\b|more\b|less\b|other\b|matter\b|one\b)[a-z]+/i, 'says "is no" for "is not a"'],
  [/\bwhat is [a-z]+ (?:goes|stays|comes|is)\b/i, 'begins with a headless clause'],
];

const maxWords = 40;

/** What is quoted or code is not prose. */
const withoutCode = (text: string): string =>
  text
    .replace(/`[^`]*`/g, 'code')
    .replace(/\{@link \w+\}/g, 'code')
    .replace(/\*\*|(?<!\w)\*|\*(?!\w)/g, '');

/** The sentences of a paragraph; a list's items and a table's cells are paragraphs of their own. */
const sentencesOf = (paragraph: string): ReadonlyArray<string> =>
  paragraph.split(/(?<=[.!?:;]\)?)\s+(?=["'(A-Z0-9*`]|code\b)/).filter((sentence) => sentence.trim() !== '');

const wordsIn = (sentence: string): number => sentence.split(/\s+/).filter((word) => /[A-Za-z0-9]/.test(word)).length;

const flawsIn = (paragraph: string, line: number): ReadonlyArray<Flaw> =>
  sentencesOf(withoutCode(paragraph)).flatMap((sentence) => [
    ...banned.flatMap(([pattern, what]) => {
      const found = pattern.exec(sentence);
      return found === null ? [] : [{ line, what: `"${found[0]}" ${what}` }];
    }),
    ...(wordsIn(sentence) > maxWords ? [{ line, what: `a sentence of ${wordsIn(sentence)} words: ${sentence}` }] : []),
  ]);

interface Paragraph {
  readonly line: number;
  readonly text: string;
}

/** Lines that go together: an empty line, a bullet, a heading or a table's row ends one. */
const paragraphsOf = (lines: ReadonlyArray<Paragraph>): ReadonlyArray<Paragraph> => {
  const paragraphs: Array<Paragraph> = [];
  let open: Paragraph | undefined;
  for (const { line, text } of lines) {
    const begins = /^\s*(?:[-*] |\d+\. |#|\|)/.test(text);
    if (text.trim() === '' || begins) open = undefined;
    if (text.trim() === '') continue;
    if (text.trim().startsWith('|')) {
      for (const cell of text.split('|')) paragraphs.push({ line, text: cell });
      continue;
    }
    const last = paragraphs.at(-1);
    if (open !== undefined && last !== undefined)
      paragraphs[paragraphs.length - 1] = { ...last, text: `${last.text} ${text.trim()}` };
    else paragraphs.push({ line, text: text.trim() });
    open = { line, text };
  }
  return paragraphs;
};

const flawsOf = (lines: ReadonlyArray<Paragraph>): ReadonlyArray<Flaw> =>
  paragraphsOf(lines).flatMap(({ line, text }) => flawsIn(text, line));

/** Of a document in Markdown; its code blocks are no prose. */
export const flawsOfDocument = (document: string): ReadonlyArray<Flaw> => {
  let isCode = false;
  const lines = document.split('\n').map((text, index) => {
    const isFence = text.trimStart().startsWith('```');
    if (isFence) isCode = !isCode;
    return { line: index + 1, text: isCode || isFence || text.startsWith('    ') ? '' : text };
  });
  return flawsOf(lines);
};

/** Of the comments of a source file. */
export const flawsOfComments = (source: string): ReadonlyArray<Flaw> => {
  const comments: Array<Array<Paragraph>> = [];
  let isBlock = false;
  let wasLineComment = false;
  for (const [index, text] of source.split('\n').entries()) {
    const opens = /^\s*\/\*\*?/.test(text);
    const isLineComment = !isBlock && !opens && /(?:^|\s)\/\/ /.test(text);
    if (opens || (isLineComment && !wasLineComment)) comments.push([]);
    wasLineComment = isLineComment;
    if (opens) isBlock = true;
    if (isBlock || isLineComment) {
      const prose = isBlock
        ? text.replace(/^\s*\/?\*+\/?\s?/, '').replace(/\*\/\s*$/, '')
        : text.replace(/^.*?(?:^|\s)\/\/ /, '');
      // An example in a docstring is code.
      comments.at(-1)?.push({ line: index + 1, text: prose.startsWith('    ') ? '' : prose });
    }
    if (text.includes('*/')) isBlock = false;
  }
  return comments.flatMap(flawsOf);
};
