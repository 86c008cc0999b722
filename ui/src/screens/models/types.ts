// What the routes of providers, models, tiers and prices answer.
import type { Schemas } from '../../types';

export type Price = Schemas['Price'];
export type Provider = Schemas['Provider'];
export type ProviderKind = Schemas['ProviderKind'];
export type Providers = Schemas['Providers'];
export type Model = Schemas['Model'];
export type Models = Schemas['Models'];
export type Tier = Schemas['Tier'];
export type ProviderTest = Schemas['ProviderTest'];
export type ModelTest = Schemas['ModelTest'];
