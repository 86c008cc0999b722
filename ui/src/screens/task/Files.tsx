// The files of the workspace as it is now, or of an iteration's commit.
import { useData } from '../../live';
import { Banner, Button, Cut, Empty, Icon, Switch, Waiting, Wrong, marked } from '../../parts';
import { Lines } from '../../parts/Lines';
import { Link, setQuery } from '../../router';
import type { TabProps } from './Task';
import type { Schemas } from '../../types';

type Folder = Schemas['TaskFiles'];
type FileText = Schemas['TaskFile'];

const sizeText = (n: number) => (n < 1000 ? `${n} B` : n < 1_000_000 ? `${(n / 1000).toFixed(1)} kB` : `${(n / 1e6).toFixed(1)} MB`);
const href = (path: string | null, kind: string) => {
  const query = new URLSearchParams(location.search);
  query.set('tab', 'files');
  if (path) query.set('path', path);
  else query.delete('path');
  if (kind === 'file') query.set('kind', 'file');
  else query.delete('kind');
  return `?${query.toString()}`;
};

function Way({ path }: { path: string }) {
  const parts = path ? path.split('/') : [];
  return (
    <nav class="line files-way mono" aria-label="Folder">
      <Link to={href(null, 'folder')}>workspace</Link>
      {parts.map((part, i) => (
        <span key={i}>
          <span class="muted">/ </span>
          {i < parts.length - 1 ? (
            <Link to={href(parts.slice(0, i + 1).join('/'), 'folder')}>
              <Cut text={part} most={100} />
            </Link>
          ) : (
            <b>
              <Cut text={part} most={200} />
            </b>
          )}
        </span>
      ))}
    </nav>
  );
}

function Shown({ task, path, iteration }: { task: string; path: string; iteration: number | null }) {
  const { data, error, reload } = useData<FileText>(`tasks/${task}/file`, { query: { path, iteration }, ...(iteration ? {} : { topics: [`task:${task}`], when: (event) => event.type.startsWith('tool.finished') || event.type.startsWith('iteration.') }) });
  const raw = `/api/v1/tasks/${task}/file/raw?path=${encodeURIComponent(path)}${iteration ? `&iteration=${iteration}` : ''}`;
  if (error && !data) return <Wrong error={error} retry={reload} />;
  if (!data) return <Waiting what="the file" />;
  const lines = data.text?.replace(/\n$/, '').split('\n') ?? [];
  return (
    <div class="stack tight">
      <div class="line small muted">
        <span>
          {sizeText(data.size)}
          {data.text !== null && `, ${lines.length} ${lines.length === 1 ? 'line' : 'lines'}`}
        </span>
        <a class="button quiet small" href={raw} download>
          <Icon name="download" />
          Download
        </a>
      </div>
      {data.binary || data.text === null ? (
        <p class="muted">A binary file; its bytes are not shown here.</p>
      ) : (
        <>
          {data.truncated && <Banner>Only the first part of this file is shown. The download has all of it.</Banner>}
          <Lines
            total={lines.length}
            label={`File ${path}`}
            render={(n) => {
              const text = lines[n - 1] ?? '';
              return (
                <>
                  <span class="lines-number">{n}</span>
                  <span class="log-text">
                    {marked(text.length > 4000 ? text.slice(0, 4000) : text)}
                    {text.length > 4000 && <span class="cut-mark">{text.length - 4000} more characters</span>}
                  </span>
                </>
              );
            }}
          />
        </>
      )}
    </div>
  );
}

function Listing({ task, path, iteration }: { task: string; path: string; iteration: number | null }) {
  const { data, error, reload } = useData<Folder>(`tasks/${task}/files`, { query: { path, iteration }, ...(iteration ? {} : { topics: [`task:${task}`], when: (event) => event.type.startsWith('tool.finished') || event.type.startsWith('iteration.') }) });
  if (error && !data) return error.status === 404 ? <Empty title="There are no files here">{error.words}</Empty> : <Wrong error={error} retry={reload} />;
  if (!data) return <Waiting what="the folder" />;
  const entries = [...data.entries].sort((a, b) => Number(b.kind === 'folder') - Number(a.kind === 'folder') || a.name.localeCompare(b.name));
  const below = (name: string) => (path ? `${path}/${name}` : name);
  return (
    <>
      <ul class="files-list">
        {path && (
          <li>
            <Icon name="up" />
            <Link to={href(path.split('/').slice(0, -1).join('/') || null, 'folder')}>the folder above</Link>
          </li>
        )}
        {entries.map((entry) => (
          <li key={entry.name}>
            <Icon name={entry.kind === 'folder' ? 'folder' : entry.kind === 'link' ? 'link' : 'file'} />
            {entry.kind === 'folder' || entry.kind === 'file' ? (
              <Link to={href(below(entry.name), entry.kind)}>
                <Cut text={entry.name} most={200} />
              </Link>
            ) : (
              <span>
                <Cut text={entry.name} most={200} /> <span class="muted small">{entry.kind}</span>
              </span>
            )}
            {entry.kind === 'file' && <span class="push small muted mono">{sizeText(entry.size ?? 0)}</span>}
          </li>
        ))}
      </ul>
      {!entries.length && <p class="muted">This folder is empty.</p>}
      {data.truncated && <p class="muted">There are more entries than are shown.</p>}
    </>
  );
}

export function Files({ task, iteration, iterations, query }: TabProps) {
  const path = query.get('path') ?? '';
  const committed = iterations.some((one) => one.iteration === iteration && one.commit);
  return (
    <div class="stack tight">
      <div class="line">
        <Way path={path} />
        <span class="push" />
        {iteration !== null && (
          <Switch
            label="Files of"
            now={committed ? 'commit' : 'live'}
            onChoose={(id) => id === 'live' && setQuery({ iteration: null })}
            choices={[
              { id: 'commit', title: `Iteration ${iteration}` },
              { id: 'live', title: 'Now' },
            ]}
          />
        )}
        {query.get('kind') === 'file' && (
          <Button small kind="quiet" icon="up" onClick={() => setQuery({ path: path.split('/').slice(0, -1).join('/') || null, kind: null })}>
            To its folder
          </Button>
        )}
      </div>
      {query.get('kind') === 'file' ? <Shown task={task.id} path={path} iteration={committed ? iteration : null} /> : <Listing task={task.id} path={path} iteration={committed ? iteration : null} />}
    </div>
  );
}
