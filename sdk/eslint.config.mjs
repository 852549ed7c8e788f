// What the linter asks. The compiler, at its strictest, asks for the rest.

import js from '@eslint/js'
import tseslint from 'typescript-eslint'

export default tseslint.config(
  { ignores: ['demo/', 'dist/', 'node_modules/'] },
  js.configs.recommended,
  { files: ['src/**/*.ts'], extends: tseslint.configs.recommended },
  {
    rules: {
      // Where storage is forbidden there is nothing to be done.
      'no-empty': ['error', { allowEmptyCatch: true }],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      // The libraries are what they are: some have no types, and a page may hand over anything.
      '@typescript-eslint/no-explicit-any': 'off',
      // `callback?.()` and `a && b()` are statements here.
      '@typescript-eslint/no-unused-expressions': ['error', { allowShortCircuit: true, allowTernary: true }],
    },
  },
  // They run in pages and in Node.js, and use what is there.
  { files: ['**/*.mjs', 'snippet.js'], rules: { 'no-undef': 'off' } },
)
