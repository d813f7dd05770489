#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "dbus/ctl/client.h"
#include "dbus/ctl/say.h"

/// The verbs of devidctl, each in a file of its own.
namespace devid::ctl {

enum class Format { text, json };

struct JobRequest {
  std::string name;
  bool force = false;
  std::optional<bool> rekey;
};

/// All identities as a table, or the one named with what is to say about it. Exit: done if all have a credential and
/// none needs attention, failed otherwise.
Exit status(Client& client, const std::string& name, Format format);
/// Why the identity is as it is, what comes next, and how long the credential lasts. Exit as status.
Exit explain(Client& client, const std::string& name, Format format);
/// The certificate in words.
Exit show(Client& client, const std::string& name, Format format);
Exit enroll(Client& client, const JobRequest& request, Format format);
Exit renew(Client& client, const JobRequest& request, Format format);
/// What the server of an identity offers to be trusted by; exit: failed if that is nothing. With a fingerprint: trusts
/// that one.
Exit trust(Client& client, const std::string& name, const std::string& fingerprint, Format format);
/// Goes back to the previous generation.
Exit rollback(Client& client, const std::string& name, Format format);
/// Destroys keys and files of an identity, after asking on the terminal, if `yes` does not say so already.
Exit forget(Client& client, const std::string& name, bool yes, Format format);
Exit run_due(Client& client, Format format);
/// The tokens and what they can do. Exit: failed if one cannot be asked.
Exit tokens(Client& client, Format format);
/// Where the IDevID was looked for, and what was found. Exit: failed if there is none.
Exit doctor(Client& client, Format format);
/// Waits until an identity has a valid credential. Exit: pending if it has none when the time is over.
Exit wait(Client& client, const std::string& name, std::optional<std::chrono::seconds> timeout);
Exit reload(Client& client);
/// What is wrong in the configuration on disk; nothing is adopted. Exit: failed if anything is.
Exit check(Client& client, Format format);

}  // namespace devid::ctl
