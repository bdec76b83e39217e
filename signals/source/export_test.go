package source

// NextLink is what GetPage reads of the header Link.
var NextLink = nextLink
