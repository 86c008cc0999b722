// The only maker of script addresses (Content-Security-Policy: trusted-types nightmill): what comes from this server, and
// nothing else, can become a worker.
interface Policy {
  createScriptURL(path: string): unknown;
}
const factory = (globalThis as { trustedTypes?: { createPolicy(name: string, rules: { createScriptURL(path: string): string }): Policy } }).trustedTypes;
const own = (path: string): string => {
  if (new URL(path, location.href).origin !== location.origin) throw new TypeError('a script of another server');
  return path;
};
const policy = factory?.createPolicy('nightmill', { createScriptURL: own });

export const scriptUrl = (path: string): string => (policy ? (policy.createScriptURL(path) as string) : own(path));
