// What the routes of users, sessions and keys answer.
import type { Schemas } from '../../types';

export type User = Schemas['User'];
export type Login = Schemas['Session'];
export type Key = Schemas['UserKey'];

export const roles = [
  { id: 'owner', title: 'Owner', help: 'everything, also what runs programs on this machine' },
  { id: 'admin', title: 'Admin', help: 'people, keys, budgets, settings' },
  { id: 'member', title: 'Member', help: 'starts tasks and answers questions' },
  { id: 'viewer', title: 'Viewer', help: 'looks, changes nothing' },
];
export const roleTitle = (role: string): string => roles.find((one) => one.id === role)?.title ?? (role ? role : 'by project');
