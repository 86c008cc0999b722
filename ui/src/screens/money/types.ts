// What the money routes answer.
import type { Schemas } from '../../types';

// One of its members, named by what the sums are of, says of which this one is.
export type Group = Schemas['LedgerGroup'] & { [by: string]: unknown };
export type Groups = Schemas['Ledger'] & { groups: Group[] };
export type LedgerRow = Schemas['LedgerEntry'];
export type Budget = Schemas['Budget'];
export type AgentRecord = Schemas['AgentRecord'];

export const scopeWords: Record<string, string> = {
  all: 'Everything',
  organisation: 'Organisation',
  project: 'Project',
  task: 'Task',
  agent: 'Agent',
  model: 'Model',
  key: 'Key',
  user: 'User',
};
export const windowWords: Record<string, string> = { total: 'in all', day: 'a day', week: 'a week', two_weeks: 'every two weeks', month: 'a month' };
// A folder by its last name; the whole path is in the title.
export const projectName = (path: string): string => path.replace(/\/+$/, '').split('/').pop() || path;
