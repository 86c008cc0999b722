// What was changed: the files with their counts first, the hunks of a file when it is opened. A line can be pointed at in
// a hint to the agent.
import { useEffect, useState } from 'preact/hooks';
import { get, type Problem } from '../../api';
import { useData } from '../../live';
import { Button, Cut, Empty, Switch, Waiting, Wrong, marked, isFinal } from '../../parts';
import { setQuery } from '../../router';
import { askHint } from './hint';
import type { TabProps } from './Task';
import type { Schemas } from '../../types';

type ChangedFile = Schemas['ChangedFile'];
type ChangeList = Schemas['TaskChanges'];
type FileChange = Schemas['TaskChangedFile'];

const shownLines = 400;
type Scope = { iteration: number | null; from: number | null };

function Hunks({ task, file, scope, canHint }: { task: string; file: ChangedFile; scope: Scope; canHint: boolean }) {
  const [change, setChange] = useState<FileChange | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [most, setMost] = useState(shownLines);
  useEffect(() => {
    const control = new AbortController();
    get<FileChange>(`tasks/${task}/changes/file`, { path: file.path, iteration: scope.iteration, from: scope.from }, control.signal).then(setChange, (error: unknown) => {
      if (!control.signal.aborted) setProblem(error as Problem);
    });
    return () => control.abort();
  }, [task, file.path, scope.iteration, scope.from]);
  if (problem) return <Wrong error={problem} />;
  if (!change) return <Waiting what="the hunks" />;
  if (change.binary) return <p class="muted changes-note">A binary file; its bytes are not shown here.</p>;
  if (change.too_large)
    return (
      <p class="muted changes-note">
        This change has {change.bytes.toLocaleString('en')} bytes, which is too much to show. <a href={`/api/v1/tasks/${task}/file/raw?path=${encodeURIComponent(file.path)}${scope.iteration ? `&iteration=${scope.iteration}` : ''}`}>Download the file</a> or see it with <code>nightmill diff {task}</code>.
      </p>
    );
  let left = most;
  const all = change.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);
  return (
    <div class="changes-hunks" tabIndex={0} role="region" aria-label={`Changes of ${file.path}`}>
      {change.hunks.map((hunk, index) => {
        if (left <= 0) return null;
        const lines = hunk.lines.slice(0, left);
        left -= lines.length;
        let old = hunk.old_start;
        let now = hunk.new_start;
        return (
          <table key={index} class="changes-hunk">
            <caption>
              <span class="mono">
                @@ −{hunk.old_start},{hunk.old_lines} +{hunk.new_start},{hunk.new_lines} @@ {marked(hunk.heading)}
              </span>
            </caption>
            <tbody>
              {lines.map((line, i) => {
                const before = line.kind === '+' ? null : old++;
                const after = line.kind === '-' ? null : now++;
                const name = line.kind === '+' ? 'added' : line.kind === '-' ? 'removed' : '';
                return (
                  <tr key={i} class={name}>
                    <td class="lines-number">{before}</td>
                    <td class="lines-number">
                      {after !== null && canHint ? (
                        <button type="button" tabIndex={-1} title="A hint about this line" onClick={() => askHint(`${file.path}:${after}: `)}>
                          {after}
                        </button>
                      ) : (
                        after
                      )}
                    </td>
                    <td class="changes-sign">
                      {line.kind === ' ' ? '' : line.kind === '-' ? '−' : '+'}
                      {name && <span class="hidden">{name}</span>}
                    </td>
                    <td class="changes-text">
                      {marked(line.text.length > 2000 ? line.text.slice(0, 2000) : line.text)}
                      {line.text.length > 2000 && <span class="cut-mark">{line.text.length - 2000} more characters</span>}
                      {line.cut ? <span class="cut-mark">{line.cut} more bytes</span> : null}
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        );
      })}
      {all > most && (
        <Button small onClick={() => setMost(most * 4)}>
          {(all - most).toLocaleString('en')} more lines
        </Button>
      )}
    </div>
  );
}

const statusWords: Record<string, string> = { added: 'new', modified: '', deleted: 'deleted', type: 'type changed', renamed: 'renamed' };

function FileRow({ task, file, scope, open: first, canHint }: { task: string; file: ChangedFile; scope: Scope; open: boolean; canHint: boolean }) {
  const [open, setOpen] = useState(first);
  return (
    <details class="changes-file" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <bdi class="mono">
          <Cut text={file.path} most={400} />
        </bdi>
        <span class="small muted">{statusWords[file.status] ?? file.status}</span>
        <span class="push mono small">
          {file.binary ? (
            <span class="muted">binary</span>
          ) : (
            <>
              <span class="good">+{file.added}</span> <span class="bad">−{file.removed}</span>
            </>
          )}
        </span>
      </summary>
      {open && (
        <>
          {canHint && (
            <Button small kind="quiet" onClick={() => askHint(`${file.path}: `)}>
              Hint about this file
            </Button>
          )}
          <Hunks task={task} file={file} scope={scope} canHint={canHint} />
        </>
      )}
    </details>
  );
}

export function Changes({ task, iteration, iterations, query }: TabProps) {
  const alone = query.get('only') === '1' && iteration !== null && iteration > 1;
  const scope: Scope = { iteration, from: alone ? iteration! - 1 : null };
  const { data, error, reload } = useData<ChangeList>(`tasks/${task.id}/changes`, {
    query: { iteration, from: scope.from },
    topics: [`task:${task.id}`],
    when: (event) => event.type === 'iteration.committed' || event.type === 'delivered' || event.type === 'task.undone',
  });
  if (error && !data) {
    if (error.status === 404 || error.status === 409)
      return <Empty title="No changes yet">{error.words}</Empty>;
    return <Wrong error={error} retry={reload} />;
  }
  if (!data) return <Waiting what="the list of files" />;
  const canHint = !isFinal(task.state);
  const folded = data.files.filter((file) => file.generated || file.lock);
  const plain = data.files.filter((file) => !file.generated && !file.lock);
  const few = plain.length <= 5;
  return (
    <div class="stack">
      <div class="line">
        <b>
          {data.files_count} {data.files_count === 1 ? 'file' : 'files'}
        </b>
        <span class="mono">
          <span class="good">+{data.added}</span> <span class="bad">−{data.removed}</span>
        </span>
        <span class="small muted mono">
          {data.base.slice(0, 10)} … {data.commit ? data.commit.slice(0, 10) : 'work so far'}
        </span>
        <span class="push" />
        {iteration !== null && iteration > 1 && iterations.length > 1 && (
          <Switch
            label="Compared with"
            now={alone ? 'only' : 'base'}
            onChoose={(id) => setQuery({ only: id === 'only' ? '1' : null })}
            choices={[
              { id: 'base', title: 'All up to here' },
              { id: 'only', title: `Only iteration ${iteration}` },
            ]}
          />
        )}
      </div>
      {!data.files.length && (
        <Empty title="No file differs" command={`nightmill diff ${task.id}`}>
          {iterations.length ? 'The work so far leaves every file as it was.' : 'Files appear here when the first iteration has been committed.'}
        </Empty>
      )}
      <div>
        {plain.map((file) => (
          <FileRow key={`${file.path} ${scope.iteration} ${scope.from} ${data.commit}`} task={task.id} file={file} scope={scope} open={few && file.added + file.removed < 200} canHint={canHint} />
        ))}
        {folded.length > 0 && (
          <details class="changes-folded">
            <summary>
              {folded.length} {folded.length === 1 ? 'file that is' : 'files that are'} generated or locked versions
            </summary>
            {folded.map((file) => (
              <FileRow key={file.path} task={task.id} file={file} scope={scope} open={false} canHint={canHint} />
            ))}
          </details>
        )}
      </div>
      {data.truncated && (
        <p class="muted">
          There are more files than are listed. All of them: <code>nightmill diff {task.id} --stat</code>
        </p>
      )}
    </div>
  );
}
