// What can be done from anywhere: by a button of the frame, or in the command palette.
import { Problem, del, post } from '../api';
import { toast } from '../parts';
import { loadSession } from '../session';

const told = (error: unknown) => toast(error instanceof Problem ? error.words : String(error), { kind: 'bad' });

export async function resumeAll(): Promise<void> {
  try {
    const { tasks } = await post<{ tasks: string[] }>('tasks/resume_all');
    toast(tasks.length ? `${tasks.length === 1 ? '1 task goes' : `${tasks.length} tasks go`} on` : 'Nothing was paused by hand');
  } catch (error) {
    told(error);
  }
}

export async function pauseAll(): Promise<void> {
  try {
    const { tasks } = await post<{ tasks: string[] }>('tasks/pause_all');
    toast(tasks.length ? `${tasks.length === 1 ? '1 task pauses' : `${tasks.length} tasks pause`} at the next step` : 'Nothing is at work', {
      ...(tasks.length ? { action: { words: 'Resume all', do: resumeAll } } : {}),
    });
  } catch (error) {
    told(error);
  }
}

export async function logOut(): Promise<void> {
  try {
    await del('session');
  } catch (error) {
    told(error);
  }
  await loadSession();
}
