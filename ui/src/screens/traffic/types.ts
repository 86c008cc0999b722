// What the routes of requests and traffic answer.
import type { Schemas } from '../../types';

export type Attempt = Schemas['Attempt'];
export type KeptBody = Schemas['Body'];
export type ModelRequest = Schemas['Request'];
export type Exchange = Schemas['Traffic'];
export type EgressHost = Schemas['EgressHost'];
