// What screens with lists share: the head, what a fetch looks like before it is there, filters and pages in the address.
export { Head, Loaded, Figures, type Figure } from './frame';
export { Filters, Pages, pageQuery, sinceSeconds, type Filter } from './filters';
export { countText, shareText, sizeText, tokensText } from './words';
