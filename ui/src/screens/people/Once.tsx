// Something that is shown this once: a key, a link.
import { Button, Copy, Dialog } from '../../parts';

export function Once({ title, words, text, onClose }: { title: string; words: string; text: string; onClose: () => void }) {
  return (
    <Dialog open title={title} onClose={onClose}>
      <div class="body">
        <p>{words}</p>
        <div class="line once">
          <code>{text}</code>
          <Copy text={text} what="it" />
        </div>
        <div class="actions">
          <Button kind="primary" onClick={onClose}>
            I have it
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
