#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "agent/identity/calendar.h"
#include "base/clock.h"

namespace devid::identity {

/// From when to when a certificate is valid, both ends included (RFC 5280 4.1.2.5).
struct Validity {
  Time not_before;
  Time not_after;
};

/// Renew when this share of the certificate's lifetime is over: more than 0, less than 1.
struct LifetimeShare {
  std::uint32_t numerator = 2;
  std::uint32_t denominator = 3;
  bool operator==(const LifetimeShare&) const = default;
};
/// Renew this long before the certificate expires.
struct BeforeExpiry {
  Seconds time{};
  bool operator==(const BeforeExpiry&) const = default;
};
using RenewAt = std::variant<LifetimeShare, BeforeExpiry>;

/// When renewals may begin, while there is time: from each of these events on, for so long.
struct MaintenanceWindow {
  CalendarEvents opens;
  Seconds length{};
  bool operator==(const MaintenanceWindow&) const = default;
};

/// When and how an identity's certificate is renewed: [renewal] of the profile.
struct RenewalPolicy {
  RenewAt at;
  /// The share of the lifetime, in percent, by which a renewal may come before `at`, each device at its own moment. The
  /// renewal of what an enrollment has brought may come up to nine tenths of the way before it: devices that were
  /// enrolled together go apart for good. 0: at `at`, all of them.
  std::uint32_t spread = 10;
  std::optional<MaintenanceWindow> window;
  std::uint32_t rekey_every = 1;           ///< each so manieth renewal makes a new key; 0: none does
  bool enroll_again = true;                ///< with the IDevID, where the LDevID has expired or is refused
  Seconds keep_old{std::chrono::days(7)};  ///< so long an old generation is kept, or until it expires
  bool prove = true;                       ///< a new credential authenticates to the server once before it is current
  bool operator==(const RenewalPolicy&) const = default;
};

/// When a certificate is to be renewed at the latest, if nothing is in the way. A time before expiry that is not
/// shorter than the lifetime counts as half of the lifetime: `clamped`.
struct RenewalTime {
  Time at;
  bool clamped = false;
};
RenewalTime renewal_time(const Validity& validity, const RenewAt& renew_at);

/// Whether the next renewal makes a new key, after so many certificates for the current one.
bool is_rekey_due(const RenewalPolicy& policy, std::uint32_t certificates);

/// A certificate that is held, and what of it decides when it is renewed.
struct Holding {
  Validity validity;
  std::optional<Time> since;  ///< when it was obtained
  bool enrolled = false;      ///< it came of an enrollment, not of a renewal
  /// Where in a range of times this device is, from 0 to 1: the same for as long as it holds this certificate. At 1
  /// all comes as late as the policy says.
  double share = 1;
};

/// When its renewal is planned: by renewal_time(), the spread and the share; for a certificate that was obtained after
/// that, after half of what was left then, or devid would renew without end.
Time planned_renewal(const Holding& holding, const RenewalPolicy& policy);

/// The first time from `due` on, and not before `now`, at which the window lets a renewal begin: what became due before
/// it opened begins at a moment of the device's own, so that a fleet does not knock at once. A window that takes more
/// than half of the time from the planned renewal to the expiry is passed over: the answer is then `due`.
Time in_window(const MaintenanceWindow& window, const Holding& holding, Time planned, Time due, Time now);

/// A share from bytes that are random, but always the same for one certificate: its fingerprint, in hexadecimal.
double share_of(std::string_view fingerprint);

}  // namespace devid::identity
