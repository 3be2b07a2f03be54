// Lint rules of this repository that no published plugin has.

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
  },
};
