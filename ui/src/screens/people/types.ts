// What the routes of users, sessions and keys answer.
export interface User {
  id: string;
  name: string;
  kind: string;
  role: string;
  projects: { project: string; role: string }[];
  subject: string | null;
  disabled: boolean;
  has_password: boolean;
  created_at: string;
  seen_at: string | null;
}
export interface Login {
  id: string;
  user: string;
  name?: string;
  kind: string;
  address: string | null;
  agent: string | null;
  created_at: string;
  seen_at: string | null;
  expires_at: string | null;
  current: boolean;
}
export interface Key {
  id: string;
  key?: string;
  prefix: string;
  name: string;
  state: string;
  access: string;
  models: string[];
  project: string;
  organisation: string;
  user: string;
  requests_per_minute: number;
  tokens_per_minute: number;
  streams: number;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
}
export const roles = [
  { id: 'owner', title: 'Owner', help: 'everything, also what runs programs on this machine' },
  { id: 'admin', title: 'Admin', help: 'people, keys, budgets, settings' },
  { id: 'member', title: 'Member', help: 'starts tasks and answers questions' },
  { id: 'viewer', title: 'Viewer', help: 'looks, changes nothing' },
];
export const roleTitle = (role: string): string => roles.find((one) => one.id === role)?.title ?? (role ? role : 'by project');
