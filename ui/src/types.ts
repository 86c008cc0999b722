// Names for what the API gives and takes. The shapes come from the program's own description of its interface
// (scripts/types.mjs makes generated/api.ts); none is written here by hand.
import type { components } from './generated/api';

export type Schemas = components['schemas'];
export type Task = Schemas['Task'];
export type Spent = Schemas['Spent'];
export type Approval = Schemas['Approval'];
export type Iteration = Schemas['TaskIteration'];
export type LogLine = Schemas['LogLine'];
export type LogSection = Schemas['LogSection'];
export type LogWindow = Schemas['TaskLog'];
// One task asked for by its id has what lists leave out.
export type TaskShown = Task & Required<Pick<Task, 'spec'>> & { spent: Spent; approvals: Approval[] };
// The data depends on the type (src/api/api.md); who reads it checks what is there.
export type TaskEvent = Omit<Schemas['TaskEvent'], 'data'> & { data: Record<string, unknown> };
