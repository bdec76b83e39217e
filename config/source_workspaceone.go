package config

// SourceWorkspaceOne is the type of a Workspace ONE UEM (AirWatch) console.
const SourceWorkspaceOne = "workspace-one"

// WorkspaceOne are the settings of a console; the README beside its source explains them.
type WorkspaceOne struct {
	PageSize          int               `yaml:"pageSize,omitempty"`          // devices per page of the search, 1 to 500; default 500
	OrganizationGroup string            `yaml:"organizationGroup,omitempty"` // the number of the group whose devices count; default: all
	User              string            `yaml:"user,omitempty"`              // enrolled_user is: email (the default) or username
	Ownership         map[string]string `yaml:"ownership,omitempty"`         // word of Ownership: corporate, shared, byod or contractor
	// Encryption is the member that disk_encryption is read from: DataEncryptionYN or DataEncrypted. Default: none.
	Encryption string `yaml:"encryption,omitempty"`
}
