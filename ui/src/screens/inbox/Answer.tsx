// A question with its exact subject, answered in place. When somebody else was faster, that is said, with who and what.
import { useState } from 'preact/hooks';
import { Problem, get, post } from '../../api';
import { Banner, Button, Cut, Icon, Time, marked, toast } from '../../parts';
import { Link } from '../../router';
import { may } from '../../session';
import type { Approval, TaskShown } from '../../types';
import './inbox.css';

const gates: Record<string, { title: string; reach: string; then: string }> = {
  plan: { title: 'The plan waits', reach: 'With your consent the agent begins to work in its sandbox; nothing outside of it is touched.', then: 'Refused, the task ends.' },
  commit: { title: 'The result waits', reach: 'With your consent it becomes a branch in the repository.', then: 'Refused, the task ends; the work is kept for looking at.' },
};
const subjectLines = 24;

export function Subject({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  const lines = text.split('\n');
  const shown = all ? lines : lines.slice(0, subjectLines);
  const diff = /^(diff --git|--- |@@ )/m.test(text);
  return (
    <div class="answer-subject">
      <pre tabIndex={0} role="region" aria-label="What it is about">
        {shown.map((line, i) => (
          <span key={i} class={diff ? (line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : line.startsWith('@@') ? 'muted' : '') : ''}>
            {marked(line.length > 2000 ? `${line.slice(0, 2000)} …` : line)}
            {'\n'}
          </span>
        ))}
      </pre>
      {lines.length > subjectLines && (
        <Button small kind="quiet" onClick={() => setAll(!all)}>
          {all ? 'Less' : `${lines.length - subjectLines} more lines`}
        </Button>
      )}
    </div>
  );
}

export interface AnswerProps {
  approval: Approval;
  title?: string;
  link?: boolean;
  onAnswered: () => void;
}

export function Answer({ approval, title, link, onAnswered }: AnswerProps) {
  const [words, setWords] = useState('');
  const [denying, setDenying] = useState(false);
  const [other, setOther] = useState<Approval | null>(null);
  const about = gates[approval.gate] ?? { title: `The ${approval.gate.replaceAll('_', ' ')} waits`, reach: 'The agent asks before it does this.', then: 'Refused, it looks for another way.' };
  const answer = async (outcome: 'approved' | 'refused') => {
    try {
      await post(`approvals/${approval.id}`, { outcome, answer: words });
      toast(outcome === 'approved' ? 'Approved' : 'Refused');
      onAnswered();
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 409) throw error;
      // Somebody was faster: nothing of this answer is lost, and it is said what stands.
      const task = await get<TaskShown>(`tasks/${approval.task}`);
      const now = task.approvals.find((one) => one.id === approval.id) ?? null;
      setOther(now);
      if (!now) onAnswered();
    }
  };
  if (other)
    return (
      <Banner icon="people" role="status" actions={<Button small onClick={onAnswered}>All right</Button>}>
        <Cut text={other.answered_by || 'Somebody else'} most={60} /> has already {other.outcome === 'approved' ? 'approved' : other.outcome === 'refused' ? 'refused' : other.outcome} this <Time at={other.answered_at} />
        {other.answer && (
          <>
            , with the words “<Cut text={other.answer} most={300} />”
          </>
        )}
        .{words && <> Yours was not sent: “<Cut text={words} most={300} />”.</>}
      </Banner>
    );
  return (
    <section class="answer" data-approval={approval.id} aria-label={`${about.title}, task ${approval.task}`}>
      <div class="line">
        <span class="state you">
          <Icon name="state-you" strong />
          {about.title}
        </span>
        {link && (
          <Link to={`/tasks/${approval.task}`}>
            <Cut text={title || approval.task} most={120} />
          </Link>
        )}
        <span class="push small muted">
          asked <Time at={approval.asked_at} />
          {approval.expires_at && (
            <>
              , until <Time at={approval.expires_at} how="exact" />
            </>
          )}
        </span>
      </div>
      <Subject text={approval.subject} />
      <p class="small muted">
        {about.reach} {about.then} Left alone, the task goes on waiting{approval.expires_at ? ' until then and pauses' : ''}.
      </p>
      {may('member') && (
        <>
          {denying && <textarea rows={2} value={words} autofocus aria-label="Why" placeholder="Why not? The agent reads it." onInput={(event) => setWords(event.currentTarget.value)} />}
          <div class="line">
            <Button kind="primary" icon="check" class="answer-approve" onClick={() => answer('approved')} keys="a">
              Approve
            </Button>
            <Button icon="cross" class="answer-deny" onClick={() => (denying ? answer('refused') : setDenying(true))} keys="d">
              {denying ? 'Refuse' : 'Refuse …'}
            </Button>
            {denying && (
              <Button kind="quiet" onClick={() => setDenying(false)}>
                Cancel
              </Button>
            )}
          </div>
        </>
      )}
    </section>
  );
}
