// The parts of node that these tests use.

declare module "node:test" {
  export default function test(name: string, act: () => void | Promise<void>): void;
}

declare module "node:assert/strict" {
  interface Assert {
    (value: unknown, message?: string): asserts value;
    ok(value: unknown, message?: string): asserts value;
    equal(actual: unknown, expected: unknown, message?: string): void;
    notEqual(actual: unknown, expected: unknown, message?: string): void;
    deepEqual(actual: unknown, expected: unknown, message?: string): void;
    throws(act: () => void, expected?: unknown): void;
  }
  const assert: Assert;
  export default assert;
}

declare module "node:fs" {
  export function readFileSync(path: URL, encoding: "utf-8"): string;
}

interface Octets extends Uint8Array {
  toString(encoding?: string): string;
  equals(other: Uint8Array): boolean;
}

declare const Buffer: { from(data: Uint8Array | ArrayBuffer | string): Octets; concat(all: Uint8Array[]): Octets };
declare function setImmediate(act: (value?: unknown) => void): void;

interface ImportMeta {
  url: string;
}
