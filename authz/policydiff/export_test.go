package policydiff

// CompareSpecs compares documents that need not make a policy.
var CompareSpecs = compare

// TellApart is how many names a list tells apart.
const TellApart = tellApart
