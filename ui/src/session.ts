// Who uses this browser. The server says (GET /api/v1/session); an answer of 401 anywhere asks again and leads to the
// login. A server without accounts answers 404 there: on its Unix socket everybody is the owner.
import { Problem, get, signedOut } from './api';
import { cell } from './cell';
import { navigate, route } from './router';
import type { Schemas } from './types';

export type Role = 'viewer' | 'member' | 'admin' | 'owner';
export type Session = Schemas['SessionState'];
export const session = cell<Session | null>(null);
export const sessionProblem = cell<Problem | null>(null);

const ranks: Record<string, number> = { viewer: 0, read: 0, member: 1, use: 1, admin: 2, owner: 3 };
// Whether the user may do what wants this role. Only to hide what would fail: the server decides.
export const may = (role: Role): boolean => (ranks[session.value?.user?.role ?? ''] ?? -1) >= ranks[role]!;

// Whether the server would answer this operation (operationId of its description), of some project at least: by the
// register that it decides by.
export const mayAsk = (operation: string): boolean => session.value?.may.includes(operation) ?? false;

const bare = (path: string) => path === '/login' || path === '/setup';

export function toLogin(): void {
  const { path } = route.value;
  if (bare(path)) return;
  const next = path + location.search;
  navigate(next === '/' ? '/login' : `/login?next=${encodeURIComponent(next)}`, { replace: true });
}

const nobody: Session = { setup_needed: false, user: null, access: '', may: [], session: null, build: '' };

export async function loadSession(): Promise<void> {
  try {
    const now = await get<Session>('session');
    session.set(now);
    sessionProblem.set(null);
    if (now.setup_needed && !now.user) {
      if (route.value.path !== '/setup') navigate(`/setup${location.hash}`, { replace: true });
    } else if (!now.user) toLogin();
  } catch (error) {
    const problem = error as Problem;
    if (problem.status === 404) {
      session.set({ ...nobody, user: { id: '', name: 'owner', role: 'owner', projects: [] }, access: 'owner' });
      sessionProblem.set(null);
    } else if (problem.status === 401) {
      session.set(nobody);
      toLogin();
    } else {
      sessionProblem.set(problem);
      setTimeout(() => void loadSession(), 2000);
    }
  }
}

signedOut.watch(() => {
  if (session.value?.user) session.set({ ...session.value, user: null });
  toLogin();
});
