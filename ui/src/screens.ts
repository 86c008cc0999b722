// The register of screens: one line each. Navigation, command palette and router come from it.
import type { ComponentType } from 'preact';
import type { IconName } from './parts/Icon';
import type { Role } from './session';

export interface ScreenProps {
  params: Record<string, string>;
  query: URLSearchParams;
}
export type Group = 'work' | 'money' | 'system';
export interface Screen {
  path: string;
  title: string;
  group?: Group; // in the navigation; left out: reached from elsewhere
  icon?: IconName;
  bare?: boolean; // without the shell: login and first run
  phone?: boolean; // in the bar at the bottom of a phone
  role?: Role; // who can use it at all; left out: everybody
  words?: string; // further words to find it by in the command palette
  inside?: Record<string, string>; // its tabs, but the first one: their id (in the address as ?tab=ID) and title
  load: () => Promise<{ default: ComponentType<ScreenProps> }>;
}

export const groups: { id: Group; title: string }[] = [
  { id: 'work', title: 'Work' },
  { id: 'money', title: 'Money' },
  { id: 'system', title: 'System' },
];

export const screens: Screen[] = [
  { path: '/new', title: 'New task', icon: 'plus', phone: true, group: 'work', words: 'run start create', load: () => import('./screens/new/New') },
  { path: '/needs-you', title: 'Needs you', icon: 'inbox', phone: true, group: 'work', words: 'inbox approvals questions', load: () => import('./screens/inbox/Inbox') },
  { path: '/tasks', title: 'Tasks', icon: 'tasks', phone: true, group: 'work', words: 'board list home', load: () => import('./screens/tasks/Tasks') },
  { path: '/tasks/:id', title: 'Task', load: () => import('./screens/task/Task') },
  { path: '/money', title: 'Money', icon: 'money', group: 'money', words: 'budgets ledger cost spending cap compare', inside: { budgets: 'Budgets', ledger: 'Ledger', compare: 'Comparison' }, load: () => import('./screens/money/Money') },
  { path: '/models', title: 'Agents and models', icon: 'models', group: 'system', words: 'providers keys tiers prices', inside: { models: 'Models', providers: 'Providers', tiers: 'Tiers' }, load: () => import('./screens/models/Models') },
  { path: '/traffic', title: 'Traffic', icon: 'traffic', group: 'system', words: 'requests egress hosts network proxy', inside: { egress: 'Outside', hosts: 'Hosts' }, load: () => import('./screens/traffic/Traffic') },
  { path: '/traffic/:id', title: 'Exchange', load: () => import('./screens/traffic/ExchangeDetail') },
  { path: '/requests/:id', title: 'Request', load: () => import('./screens/traffic/RequestDetail') },
  { path: '/settings', title: 'Settings', icon: 'settings', group: 'system', words: 'limits notifications push webhook history configuration', inside: { history: 'History', notifications: 'Notifications' }, load: () => import('./screens/settings/Settings') },
  { path: '/people', title: 'Users and keys', icon: 'people', group: 'system', words: 'accounts roles sessions logins tokens password', inside: { keys: 'Keys', logins: 'Your logins' }, load: () => import('./screens/people/People') },
  { path: '/audit', title: 'Audit', icon: 'audit', group: 'system', role: 'admin', words: 'who did what chain verify export', load: () => import('./screens/audit/Audit') },
  { path: '/system', title: 'Health', icon: 'health', group: 'system', words: 'doctor sandboxes components', load: () => import('./screens/system/System') },
  { path: '/first', title: 'First steps', words: 'sample getting started welcome provider', load: () => import('./screens/first/First') },
  { path: '/login', title: 'Log in', bare: true, load: () => import('./screens/login/Login') },
  { path: '/setup', title: 'First run', bare: true, load: () => import('./screens/login/Setup') },
];
