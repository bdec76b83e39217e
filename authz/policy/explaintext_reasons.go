package policy

// reasons are a sentence on each reason, and what the person can do about it. Checks, logins and contacts are added.
var reasons = map[Reason]struct{ why, todo string }{
	ReasonUndecided: {"Nobody reached a decision, and without one nothing is let through.",
		"Try again; if it stays so, tell the operator of this service."},
	ReasonMalformed: {"It was not a well-formed request, so it was not looked at any further.",
		"Use an ordinary browser or client; if you do, tell the operator of this service."},
	ReasonPath: {"Its address can be read in two ways, and what has two readings is refused.",
		"Type the address anew, without special characters such as .. or %2f."},
	ReasonHost: {"The name of the server in it is no valid name.", "Type the address anew."},
	ReasonIdentityDoubted: {"A proof of identity came with it that is not believed.",
		"Log out, log in again and try once more."},
	ReasonIdentityUnchecked: {"Whether the proof of identity that came with it counts could not be found out just then.",
		"Try again in a minute."},
	ReasonNoRoute: {"Nothing is served at this address.", "Check the address for a misspelling."},
	ReasonMethod: {"What is served at this address does not take this kind of request.",
		"Check with whoever wrote the client."},
	ReasonRouteMismatch: {"The proxy in front and the policy do not agree on where it leads; that is a fault of the " +
		"installation and not yours.", "Try again in a minute; if it stays so, tell the operator of this service."},
	ReasonIdentityMissing: {"It did not show who is asking, or from which device, as is demanded here.",
		"Log in, and use a device that the company manages."},
	ReasonIdentityExpired: {"A proof of identity that came with it is out of date, or not valid yet.",
		"Log in again; if the certificate of the device is what is over, have it renewed. " +
			"See that the clock of the device is right."},
	ReasonSessionRevoked: {"The company's identity provider has ended this login: somebody logged out, the account was changed or " +
		"blocked, or the session was given up.", "Log in again; if that does not help, ask whoever looks after accounts."},
	ReasonUserRisk: {"The company's identity provider holds this account, or this session, for a risk, and here such accounts are not let in.",
		"Ask whoever looks after accounts; logging in again does not help."},
	ReasonIdentityRevoked: {"The certificate of the device has been withdrawn.", "Have the device enrolled anew."},
	ReasonIsolated: {"You belong to a group that is kept apart: its members reach only what is opened to that group.",
		"If you need this, ask for it to be opened to your group."},
	ReasonAudience: {"You are in none of the groups to which this is open.",
		"If you need this, ask to be added to one of the groups named below."},
	ReasonDeviceUnknown: {"Nothing is known of the device: none of the company's tools has reported it.",
		"Enrol the device with the company's device management, and try again when it has reported."},
	ReasonDeviceContested: {"Two different devices are reported under the name of this one, so neither can be believed.",
		"Ask for help; only an operator can set that right."},
	ReasonStoreUnreachable: {"What is known of the device could not be read just then.", "Try again in a minute."},
	ReasonEnrolledUser: {"The device is not known to be enrolled for you.",
		"Use your own device, or have this one enrolled in your name."},
	ReasonPosture: {"The device does not show all that is demanded of it here.", ""},
	ReasonStepUp:  {"Your login is not strong or not fresh enough for this.", ""},
	ReasonEvidence: {"The decision has to be put on record here, and it could not be.",
		"Try again in a minute; if it stays so, tell the operator of this service."},
	ReasonInternal: {"A fault in the service itself came up, and in doubt nothing is let through.",
		"Try again; if it stays so, tell the operator of this service."},
	ReasonNoPolicy: {"The service has only just started and has no policy yet.", "Try again in a minute."},
	ReasonAllowed:  {"Everything that is demanded was shown.", ""},
}

// because is the sentence on a reason; one that nobody wrote is given as it is.
func (e *Explanation) because(r Reason) string {
	if r == ReasonIdentityMissing && e.Tier != nil {
		switch {
		case e.Tier.Identify == IdentifyWorkload:
			return "This is open to programs that show an identity of their own, and the request showed none."
		case e.Who.User == "":
			return "It did not show who is asking, which is demanded here."
		default:
			return "It did not show from which device it comes, which is demanded here."
		}
	}
	if c := e.Verdict.Challenge; r == ReasonStepUp && c != nil && c.SVID != nil {
		return "Beside its certificate the program showed no token of itself (JWT-SVID) that is fresh enough for this."
	}
	if r == ReasonIdentityUnchecked && e.Tier != nil {
		return "How long ago you logged in could not be found out just then."
	}
	if said, ok := reasons[r]; ok {
		return said.why
	}
	return sentence("The reason is " + string(r))
}
