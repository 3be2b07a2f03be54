// Lint rules of this repository that no published plugin has.
import { dirname, join } from 'node:path';

/** Packages that the core may import; everything else is I/O or belongs to an outer package. */
const corePackages = /^(fp-ts\/lib\/[^/]+\.js|io-ts|io-ts\/lib\/[^/]+\.js|\.\.?\/.*)$/;

/** The barrels are slow to load; directories and `es6/` type-check and pass the test runner, but Node cannot load them. */
const functionalPackage = /^(fp-ts|io-ts|monocle-ts|newtype-ts)(\/|$)/;
const loadableForm = /^(io-ts|[^/]+\/lib\/[^/]+\.js)$/;

const removers = new Set(['rm', 'rmSync', 'existsSync']);
const fileSystemModules = new Set(['fs', 'node:fs', 'fs/promises', 'node:fs/promises']);
const removingPackages = new Set(['rimraf', 'fs-extra', 'del', 'shelljs', 'graceful-fs']);

/** Calls `check(specifier, node)` for every form in which a module can be imported. */
const onImport = (check) => {
  const visit = (source) => {
    const specifier = source?.type === 'TemplateLiteral' ? source.quasis[0].value.cooked : source?.value;
    if (typeof specifier === 'string') check(specifier, source);
  };
  return {
    ImportDeclaration: (node) => visit(node.source),
    ExportNamedDeclaration: (node) => visit(node.source),
    ExportAllDeclaration: (node) => visit(node.source),
    ImportExpression: (node) => visit(node.source),
    TSImportType: (node) => visit(node.source ?? node.argument?.literal ?? node.argument),
    TSExternalModuleReference: (node) => visit(node.expression),
  };
};

const nameOf = (node, computed = false) => {
  if (!computed && node?.type === 'Identifier') return node.name;
  return node?.type === 'Literal' ? node.value : undefined;
};

/**
 * The rooms of each package, in the order of the flow: a room imports only from itself and from rooms above it. What is beside
 * them (a package's doors) puts them together.
 */
const rooms = {
  core: [
    'base',
    'capabilities',
    'policy',
    'decide',
    'plan',
    'report',
    'observe',
    'apply',
    'documents',
    'recovery',
  ],
  'node-effects': [
    'native',
    'protobuf',
    'linux',
    'shims',
    'stores',
    'daemon',
    'events',
    'demo',
    'cli/arguments',
    'cli/views',
    'cli/commands',
  ],
  'test-effects': ['worlds', 'memory', 'simulation', 'properties', 'arbitraries', 'campaign', 'laws', 'cli'],
};

/** The package and the room of a source file; the room is undefined for what is in none. */
const roomOf = (file) => {
  const [, name, path] = /\/packages\/([^/]+)\/src\/(.+)$/.exec(file) ?? [];
  const known = name === undefined ? undefined : rooms[name];
  return known === undefined ? undefined : { known, index: known.findIndex((room) => path.startsWith(`${room}/`)) };
};

const roomOrder = {
  create: (context) => {
    const own = roomOf(context.filename);
    if (own === undefined || own.index < 0) return {};
    return onImport((specifier, node) => {
      if (!specifier.startsWith('.')) return;
      const target = roomOf(join(dirname(context.filename), specifier));
      if (target === undefined || target.index <= own.index) return;
      const [from, to] = [own.known[own.index], own.known[target.index]];
      context.report({ node, message: `'${from}' comes before '${to}' in the flow, and must not import from it.` });
    });
  },
};

const isFunction = (node) => node?.type === 'ArrowFunctionExpression' || node?.type === 'FunctionExpression';

/** What a top-level statement declares; `isFunction` where nothing of it runs before it is called. */
const declarationOf = (statement) => {
  const isExported = statement.type === 'ExportNamedDeclaration';
  const declared = isExported ? statement.declaration : statement;
  const single = declared?.type === 'VariableDeclaration' && declared.declarations.length === 1;
  const { id, init } = single ? declared.declarations[0] : { id: declared?.id, init: undefined };
  return {
    name: id?.name,
    isExported,
    isFunction: isFunction(init) || declared?.type === 'FunctionDeclaration',
    isType: /^TS(Interface|TypeAlias)Declaration$/.test(declared?.type ?? ''),
  };
};

/**
 * Files are read from the top: what a module is for comes first, and what it uses below it. A function that is not exported
 * stands below the first one that uses it, unless something that runs when the module is loaded needs it.
 */
const topDown = {
  create: (context) => ({
    'Program:exit': (program) => {
      const { sourceCode } = context;
      const text = [...sourceCode.text];
      for (const { range } of sourceCode.getAllComments()) text.fill(' ', range[0], range[1]);
      const code = text.join('');
      const statements = program.body.map((node) => ({
        node,
        ...declarationOf(node),
        code: code.slice(node.range[0], node.range[1]),
      }));
      for (const [index, { node, name, isExported, isFunction: isOne }] of statements.entries()) {
        if (!isOne || isExported || name === undefined) continue;
        const isUsedIn = (other) => other.node !== node && new RegExp(`(?<![\\w.$])${name}(?![\\w$])`).test(other.code);
        const users = [...statements.entries()].filter(([, other]) => isUsedIn(other));
        const isNeededAtOnce = users.some(([, other]) => !other.isFunction && !other.isType);
        if (users.length === 0 || isNeededAtOnce || users.some(([at]) => at < index)) continue;
        context.report({ node, message: `Move '${name}' below the first function that uses it: files are read from the top.` });
      }
    },
  }),
};

const coreImports = {
  create: (context) =>
    onImport((specifier, node) => {
      if (corePackages.test(specifier)) return;
      context.report({ node, message: `The core imports only fp-ts, io-ts and its own files, not '${specifier}'.` });
    }),
};

const functionalImports = {
  create: (context) =>
    onImport((specifier, node) => {
      if (!functionalPackage.test(specifier) || loadableForm.test(specifier)) return;
      context.report({ node, message: `Node cannot load '${specifier}': write '<package>/lib/<Module>.js'.` });
    }),
};

const pure = {
  create: (context) => ({
    ThrowStatement: (node) => context.report({ node, message: 'The core returns errors as values.' }),
    MemberExpression: (node) => {
      const path = `${nameOf(node.object)}.${nameOf(node.property, node.computed)}`;
      if (path !== 'Date.now' && path !== 'Math.random') return;
      context.report({ node, message: `${path} is an effect: take the value as an argument.` });
    },
    CallExpression: (node) => {
      if (nameOf(node.callee) !== 'Date') return;
      context.report({ node, message: 'Date() reads the clock: take the time as an argument.' });
    },
    NewExpression: (node) => {
      if (nameOf(node.callee) !== 'Date' || node.arguments.length > 0) return;
      context.report({ node, message: 'new Date() reads the clock: take the time as an argument.' });
    },
  }),
};

/** A recursive removal that meets a mount deletes what is mounted: one directory entry at a time, no exceptions. */
const noRecursiveRemoval = {
  create: (context) => {
    const forbid = (node, what) =>
      context.report({ node, message: `${what} is not used here: remove one entry at a time with unlink and rmdir.` });
    const imports = onImport((specifier, node) => {
      if (removingPackages.has(specifier.split('/')[0])) forbid(node, specifier);
    });
    return {
      ...imports,
      ImportSpecifier: (node) => {
        if (!fileSystemModules.has(node.parent.source.value)) return;
        if (removers.has(nameOf(node.imported))) forbid(node, nameOf(node.imported));
      },
      ExportSpecifier: (node) => {
        if (!fileSystemModules.has(node.parent.source?.value)) return;
        if (removers.has(nameOf(node.local))) forbid(node, nameOf(node.local));
      },
      MemberExpression: (node) => {
        const name = nameOf(node.property, node.computed);
        if (removers.has(name)) forbid(node.property, name);
      },
      ObjectPattern: (node) => {
        for (const property of node.properties) {
          const name = property.type === 'Property' ? nameOf(property.key, property.computed) : undefined;
          if (removers.has(name)) forbid(property, name);
        }
      },
      CallExpression: (node) => {
        const { callee } = node;
        const name = callee.type === 'MemberExpression' ? nameOf(callee.property, callee.computed) : nameOf(callee);
        if (!/^rmdir(Sync)?$/.test(String(name))) return;
        if (node.arguments.length > 1 && /recursive/.test(context.sourceCode.getText(node))) forbid(node, `${name} recursive`);
      },
    };
  },
};

export default {
  meta: { name: 'shim-recovery' },
  rules: {
    'core-imports': coreImports,
    'functional-imports': functionalImports,
    pure,
    'no-recursive-removal': noRecursiveRemoval,
    'room-order': roomOrder,
    'top-down': topDown,
  },
};
