#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/swtpm.h"

namespace devid::test {

/// TPM 2.0 Part 2, table 12 (TPM_CC): those that tests name.
enum class TpmCommand : std::uint32_t {
  evict_control = 0x120,
  create_primary = 0x131,
  nv_read = 0x14e,
  create = 0x153,
  import_key = 0x156,
  load = 0x157,
  sign = 0x15d,
  flush_context = 0x165,
  load_external = 0x167,
  nv_read_public = 0x169,
  context_load = 0x161,
  read_public = 0x173,
  start_auth_session = 0x176,
  get_capability = 0x17a,
  pcr_read = 0x17e,
  policy_pcr = 0x17f,
  test_parms = 0x18a,
  create_loaded = 0x191,
};

/// "Create"; "0x17b" for one that tests have no name for.
std::string command_name(TpmCommand command);

/// Sits between devid and swtpm, as a probe on the bus would: counts the commands, watches the slots, makes the TPM
/// slow, and makes it fail. All members may be called at any time, from any thread.
class TpmTap {
 public:
  /// Goes between the swtpm and whoever uses tcti(). The swtpm must outlive it; it may be restarted meanwhile.
  explicit TpmTap(const Swtpm& swtpm);
  TpmTap(const TpmTap&) = delete;
  TpmTap& operator=(const TpmTap&) = delete;
  TpmTap(TpmTap&&) = delete;
  TpmTap& operator=(TpmTap&&) = delete;
  ~TpmTap();

  [[nodiscard]] std::string tcti() const { return swtpm_tcti(ports_.port); }

  /// What passed since the last reset().
  struct Seen {
    std::vector<TpmCommand> commands;                ///< in order, refused and cut ones included
    std::vector<std::vector<std::uint8_t>> frames;   ///< the same commands, as they crossed the bus
    std::vector<std::vector<std::uint8_t>> answers;  ///< those of the TPM
    std::size_t retried = 0;                         ///< of these, how many the TPM answered with TPM_RC_RETRY (0x922)
    std::size_t most_transient = 0;                  ///< transient objects in the TPM at any time
    std::size_t most_before_create_or_load = 0;      ///< … when a Create, Load or CreateLoaded arrived
    [[nodiscard]] std::size_t count(TpmCommand command) const;
    /// "11 commands: ReadPublic, Create, …"
    [[nodiscard]] std::string summary() const;
  };
  [[nodiscard]] Seen seen() const;
  /// Forgets what was seen; objects that are loaded stay known.
  void reset();
  /// Transient objects and sessions that were made through the tap and are still there, as far as it saw.
  [[nodiscard]] std::size_t transient_objects() const;
  [[nodiscard]] std::size_t sessions() const;
  /// The swtpm was restarted: nothing is loaded any more.
  void forget_loaded();

  /// Each command waits so long before it goes on.
  void delay(std::chrono::milliseconds time);

  /// Answers the next `times` commands (of this kind) with a response code, without asking the TPM.
  void answer(std::uint32_t response_code, unsigned times = 1);
  void answer(TpmCommand command, std::uint32_t response_code, unsigned times = 1);

  /// Answers the nth command from now (1 is the next) so, once.
  void answer_nth(unsigned nth, std::uint32_t response_code);

  enum class Cut { before_the_tpm_sees_it, after_the_tpm_did_it };
  /// Cuts the connection at the nth command from now (1 is the next), once.
  void cut_at(unsigned nth, Cut where);
  /// While set, every connection is cut at once, as if the TPM were gone.
  void set_gone(bool gone);
  /// Ends answer(), answer_nth(), cut_at(), delay() and set_gone().
  void heal();

 private:
  enum class Action { forward, answer, cut_before, cut_after };
  struct Decision {
    Action action = Action::forward;
    std::uint32_t response_code = 0;
  };
  struct Injection {
    std::optional<TpmCommand> command;
    std::uint32_t response_code = 0;
    unsigned times = 0;
    unsigned skip = 0;  ///< so many commands pass before
  };
  struct Connection {
    Socket client;
    Socket server;
    std::thread thread;
    std::atomic<bool> done = false;
  };

  void accept_on(const Socket& listener, bool commands);
  void serve(Connection& connection, bool commands);
  void serve_commands(const Connection& connection);
  [[nodiscard]] bool exchange(const Connection& connection, const std::vector<std::uint8_t>& command);
  Decision arrived(const std::vector<std::uint8_t>& frame);
  void answered(const std::vector<std::uint8_t>& command, const std::vector<std::uint8_t>& response);
  void wait_delay();
  void reap(bool all);

  std::uint16_t upstream_;
  PortPair ports_;
  std::atomic<bool> stopping_ = false;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Seen seen_;
  std::set<std::uint32_t> transient_;
  std::set<std::uint32_t> sessions_;
  std::chrono::milliseconds delay_{0};
  std::list<Injection> injections_;
  bool cut_armed_ = false;
  unsigned cut_in_ = 0;
  Cut cut_ = Cut::before_the_tpm_sees_it;
  bool gone_ = false;

  std::mutex connections_mutex_;
  std::list<Connection> connections_;
  std::thread commands_thread_;
  std::thread control_thread_;
};

}  // namespace devid::test
