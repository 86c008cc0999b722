// The navigation: groups of screens at the side, four of them in a bar at the bottom of a phone.
import { useCell } from '../cell';
import { Button, Dialog, Icon } from '../parts';
import { Link, useRoute } from '../router';
import { groups, screens, type Screen } from '../screens';
import { may, session } from '../session';
import { useState } from 'preact/hooks';
import { logOut } from './deeds';
import { stats } from './summary';
import { nextTheme, theme } from './theme';

const visible = (screen: Screen) => !!screen.group && (!screen.role || may(screen.role));
const current = (screen: Screen, path: string) => path === screen.path || path.startsWith(`${screen.path}/`) || (path === '/' && screen.path === '/tasks');

function Item({ screen, path, onClick }: { screen: Screen; path: string; onClick?: () => void }) {
  const all = useCell(stats);
  const count = screen.path === '/needs-you' ? (all?.need_you ?? 0) : 0;
  return (
    <Link to={screen.path} aria-current={current(screen, path) ? 'page' : undefined} onClick={onClick}>
      {screen.icon && <Icon name={screen.icon} />}
      {screen.title}
      {count > 0 && <span class="count">{count}</span>}
    </Link>
  );
}

function Groups({ onClick }: { onClick?: () => void }) {
  const { path } = useRoute();
  return (
    <>
      {groups.map((group) => {
        const list = screens.filter((screen) => screen.group === group.id && visible(screen));
        return list.length ? (
          <div key={group.id}>
            <h2>{group.title}</h2>
            <ul>
              {list.map((screen) => (
                <li key={screen.path}>
                  <Item screen={screen} path={path} {...(onClick ? { onClick } : {})} />
                </li>
              ))}
            </ul>
          </div>
        ) : null;
      })}
    </>
  );
}

function Foot() {
  const who = useCell(session);
  const now = useCell(theme);
  return (
    <div class="foot">
      <div class="line">
        <Button small kind="quiet" icon={now === 'dark' ? 'moon' : 'sun'} onClick={() => theme.set(nextTheme[now])}>
          {now === 'system' ? 'As the system' : now === 'light' ? 'Light' : 'Dark'}
        </Button>
      </div>
      {who?.user && (
        <div class="line">
          <span>
            {who.user.name}
            {who.user.name !== who.user.role && `, ${who.user.role}`}
          </span>
          {who.session && (
            <Button small kind="quiet" onClick={logOut}>
              Log out
            </Button>
          )}
        </div>
      )}
    </div>
  );
}

export function Navigation() {
  useCell(session);
  return (
    <nav class="nav" aria-label="Screens">
      <Groups />
      <Foot />
    </nav>
  );
}

export function PhoneBar() {
  useCell(session);
  const { path } = useRoute();
  const [more, setMore] = useState(false);
  const close = () => setMore(false);
  return (
    <>
      <nav class="phone-bar" aria-label="Screens">
        {screens
          .filter((screen) => screen.phone && visible(screen))
          .map((screen) => (
            <Item key={screen.path} screen={screen} path={path} />
          ))}
        <button type="button" onClick={() => setMore(true)}>
          <Icon name="menu" />
          More
        </button>
      </nav>
      <Dialog open={more} title="All screens" onClose={close}>
        <div class="body">
          <nav class="nav all" aria-label="All screens">
            <Groups onClick={close} />
            <Foot />
          </nav>
        </div>
      </Dialog>
    </>
  );
}
