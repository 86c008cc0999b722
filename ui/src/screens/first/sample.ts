// The sample task that was begun in this browser.
import { freshKey, post } from '../../api';
import { stored } from '../../cell';
import type { Task } from '../../types';

export const sample = stored<string>('sample-task', '');

export async function sampleTask(): Promise<void> {
  sample.set((await post<Task>('sample', {}, { key: freshKey() })).id);
}
