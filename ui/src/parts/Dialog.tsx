// The browser's own dialog: it keeps focus inside, closes by Escape and gives focus back.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Cut } from './small';

interface DialogProps {
  open: boolean;
  title: string;
  onClose: () => void;
  children: ComponentChildren; // a <form> or a <div class="body">; actions in <div class="actions">
  class?: string;
  plain?: boolean; // the title is for screen readers only
}

export function Dialog({ open, title, onClose, children, class: more, plain }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = element.current;
    if (!dialog) return;
    if (open && !dialog.open) dialog.showModal();
    else if (!open && dialog.open) dialog.close();
  }, [open]);
  if (!open) return null;
  return (
    <dialog
      ref={element}
      class={`dialog ${more ?? ''}`}
      aria-labelledby={id}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === element.current) onClose();
      }}
    >
      <h2 id={id} class={plain ? 'hidden' : 'dialog-title'}>
        <Cut text={title} most={200} />
      </h2>
      {children}
    </dialog>
  );
}
