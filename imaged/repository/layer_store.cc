#include "imaged/repository/layer_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>

#include "common/log.h"
#include "imaged/manifest/tree_objects.h"

namespace strata::imaged {
namespace {

// CompletenessRecord() of a tree's name.
const std::string kCompleteSuffix = CompletenessRecord("");

// Names in `directory` that are hidden, or those that are not. What is being written is hidden.
Result<std::vector<std::string>> ListDirectory(const std::string& directory, bool hidden = false) {
  DIR* stream = ::opendir(directory.c_str());
  if (stream == nullptr) return Errno("opendir " + directory);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name.starts_with('.') == hidden && name != "." && name != "..") names.push_back(name);
  }
  ::closedir(stream);
  return names;
}

// Others may take a file away, or give it its name, at any time.
Status Remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Errno("unlink " + path);
  return Ok();
}

// What a dead process was writing.
Status RemoveUnfinished(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory, /*hidden=*/true));
  for (const std::string& name : names) RETURN_IF_ERROR(Remove(directory + "/" + name));
  return Ok();
}

// Of the lowest `count` layers.
std::string StackName(const std::vector<Digest>& layers, size_t count) {
  Hasher hasher;
  for (size_t i = 0; i < count; ++i) hasher.Update(layers[i].bytes().data(), Digest::kSize);
  return hasher.Finish().Hex();
}

}  // namespace

Result<std::unique_ptr<LayerStore>> LayerStore::Open(const std::string& root) {
  RETURN_IF_ERROR(MakeDirectories(root + "/manifests"));
  RETURN_IF_ERROR(MakeDirectories(root + "/lists"));
  RETURN_IF_ERROR(MakeDirectories(root + "/pending", 0700));
  RETURN_IF_ERROR(MakeDirectories(root + "/trees"));
  RETURN_IF_ERROR(MakeDirectories(root + "/profiles", 0700));
  RETURN_IF_ERROR(MakeDirectories(root + "/uses", 0700));
  for (const std::string folder : {"/trees", "/profiles", "/pending"}) {
    RETURN_IF_ERROR(RemoveUnfinished(root + folder));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> shards, ListDirectory(root + "/lists"));
  for (const std::string& shard : shards) {
    RETURN_IF_ERROR(RemoveUnfinished(root + "/lists/" + shard));
  }
  // Records of what was there before we were.
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(root + "/trees"));
  for (const std::string& name : names) {
    if (!name.ends_with(".erofs")) RETURN_IF_ERROR(Remove(root + "/trees/" + name));
  }
  ASSIGN_OR_RETURN(auto conversions, LayerConversions::Open(root));
  return std::unique_ptr<LayerStore>(new LayerStore(root, std::move(conversions)));
}

Result<bool> LayerStore::HasManifests() const {
  ASSIGN_OR_RETURN(const std::vector<std::string> shards, ListDirectory(root_ + "/manifests"));
  for (const std::string& shard : shards) {
    ASSIGN_OR_RETURN(const auto names, ListDirectory(root_ + "/manifests/" + shard));
    if (!names.empty()) return true;
  }
  return false;
}

Result<std::vector<Digest>> LayerStore::All() const {
  std::vector<Digest> all;
  ASSIGN_OR_RETURN(const std::vector<std::string> shards, ListDirectory(root_ + "/manifests"));
  for (const std::string& shard : shards) {
    ASSIGN_OR_RETURN(const auto names, ListDirectory(root_ + "/manifests/" + shard));
    for (const std::string& name : names) {
      const auto digest = Digest::FromHex(shard + name);
      if (digest.ok()) all.push_back(*digest);
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::string LayerStore::ManifestPath(const Digest& layer) const {
  return root_ + "/manifests/" + ObjectStore::RelativePath(layer);
}

std::string LayerStore::ListPath(const Digest& layer) const {
  return root_ + "/lists/" + ObjectStore::RelativePath(layer);
}

Result<std::shared_ptr<const ObjectList>> LayerStore::Objects(const Digest& layer) const {
  const std::string path = ListPath(layer);
  auto list = ObjectList::Open(path);
  if (list.ok()) return list;
  if (list.error().code() == Code::kCorrupt) LOG_WARNING(list.error().message() + ": made anew");
  ASSIGN_OR_RETURN(const auto reader, OpenManifest(layer));
  ASSIGN_OR_RETURN(const Tree tree, reader->LoadTree(), "layer " + layer.ToString());
  RETURN_IF_ERROR(WriteList(layer, ObjectList::Of(tree)));
  return ObjectList::Open(path);
}

Result<LayerStore::Staged> LayerStore::Stage(const Tree& tree, const Ingest& ingest) const {
  ASSIGN_OR_RETURN(ScratchFile scratch, ScratchFile::Create(ingest.StagingPath("manifest")));
  ASSIGN_OR_RETURN(WrittenManifest written, WriteErofs(tree, scratch.fd()), "manifest");
  return Staged(std::move(scratch), std::move(written), ObjectList::Of(tree));
}

Status LayerStore::Commit(Staged staged, Ingest* ingest) {
  RETURN_IF_ERROR(ingest->Commit());
  const std::string path = ManifestPath(staged.written_.digest);
  const std::string directory = path.substr(0, path.rfind('/'));
  if (!PathExists(path)) {
    RETURN_IF_ERROR(MakeDirectories(directory));
    RETURN_IF_ERROR(staged.file_.MoveTo(path));
  }
  // Also when it was there: who put it there may not have come this far.
  RETURN_IF_ERROR(FsyncDirectory(directory));
  RETURN_IF_ERROR(FsyncDirectory(root_ + "/manifests"));
  return WriteList(staged.written_.digest, staged.objects_);
}

Status LayerStore::WriteList(const Digest& layer, const std::vector<ObjectEntry>& objects) const {
  const std::string path = ListPath(layer);
  RETURN_IF_ERROR(MakeDirectories(path.substr(0, path.rfind('/'))));
  return ObjectList::Write(path, objects);
}

std::string LayerStore::PendingPath(const Digest& layer) const {
  return root_ + "/pending/" + layer.Hex();
}

Result<Tree> LayerStore::AddPending(ScratchFile manifest, const Digest& layer) {
  ASSIGN_OR_RETURN(const auto reader, ErofsReader::Open(manifest.path()));
  ASSIGN_OR_RETURN(Tree tree, reader->LoadTree());
  RETURN_IF_ERROR(manifest.MoveTo(PendingPath(layer)));
  RETURN_IF_ERROR(FsyncDirectory(root_ + "/pending"));
  return tree;
}

Result<std::unique_ptr<ErofsReader>> LayerStore::OpenPending(const Digest& layer) const {
  // Its week begins anew.
  ::utimensat(AT_FDCWD, PendingPath(layer).c_str(), nullptr, 0);
  return ErofsReader::Open(PendingPath(layer));
}

Result<std::vector<Digest>> LayerStore::PendingObjects() const {
  std::vector<Digest> objects;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(root_ + "/pending"));
  for (const std::string& name : names) {
    const std::string path = root_ + "/pending/" + name;
    const auto tree = [&]() -> Result<Tree> {
      ASSIGN_OR_RETURN(const auto reader, ErofsReader::Open(path));
      return reader->LoadTree();
    }();
    if (tree.ok()) {
      for (const ObjectEntry& entry : ObjectList::Of(*tree)) objects.push_back(entry.digest);
      continue;
    }
    if (tree.error().code() == Code::kNotFound) continue;  // Committed just now.
    if (tree.error().code() != Code::kCorrupt && tree.error().code() != Code::kUnsupported) {
      return tree.error().Wrap("pending layer " + name);
    }
    // It would never be committed; a disk that damaged it does not stop collections for ever.
    LOG_WARNING("pending layer " + name + " is dropped: " + tree.error().message());
    RETURN_IF_ERROR(Remove(path));
  }
  return objects;
}

Status LayerStore::CommitPending(const Digest& layer) {
  const std::string path = ManifestPath(layer);
  const std::string directory = path.substr(0, path.rfind('/'));
  RETURN_IF_ERROR(MakeDirectories(directory));
  // Another pull that needs it may have been faster.
  if (::rename(PendingPath(layer).c_str(), path.c_str()) != 0 &&
      (errno != ENOENT || !PathExists(path))) {
    return Errno("rename to " + path);
  }
  ASSIGN_OR_RETURN(const auto reader, OpenManifest(layer));
  ASSIGN_OR_RETURN(const Tree tree, reader->LoadTree(), "layer " + layer.ToString());
  RETURN_IF_ERROR(FsyncDirectory(directory));
  RETURN_IF_ERROR(FsyncDirectory(root_ + "/manifests"));
  return WriteList(layer, ObjectList::Of(tree));
}

Status LayerStore::SweepPending(const std::set<Digest>& live) const {
  constexpr time_t kAgeMax = 7 * 24 * 3600;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(root_ + "/pending"));
  for (const std::string& name : names) {
    const std::string path = root_ + "/pending/" + name;
    const auto layer = Digest::FromHex(name);
    if (layer.ok() && live.contains(*layer)) continue;
    struct stat st;
    if (::stat(path.c_str(), &st) != 0 || ::time(nullptr) - st.st_mtime < kAgeMax) continue;
    RETURN_IF_ERROR(Remove(path));
  }
  return Ok();
}

Result<std::unique_ptr<ErofsReader>> LayerStore::OpenManifest(const Digest& layer) const {
  auto reader = ErofsReader::Open(ManifestPath(layer));
  if (!reader.ok()) return reader.error().Wrap("layer " + layer.ToString());
  return reader;
}

Status LayerStore::VerifyManifest(const Digest& layer) const {
  ASSIGN_OR_RETURN(const UniqueFd fd, strata::Open(ManifestPath(layer), O_RDONLY),
                   "layer " + layer.ToString());
  ASSIGN_OR_RETURN(const Digest actual, HashFile(fd.get()));
  if (actual == layer) return Ok();
  return Error(Code::kCorrupt, "layer " + layer.ToString() + ": the manifest at " +
                                   ManifestPath(layer) + " has the digest " + actual.ToString());
}

std::string LayerStore::TreePath(const std::vector<Digest>& layers, size_t count) const {
  return root_ + "/trees/" + StackName(layers, count) + ".erofs";
}

Result<Tree> LayerStore::Flatten(const std::vector<Digest>& layers, bool use_cache) const {
  Tree tree;
  size_t done = 0;
  // An image that was saved from another has all layers but the last in common with it.
  for (size_t count = layers.size() - 1; use_cache && count > 0 && done == 0; --count) {
    const std::string path = TreePath(layers, count);
    if (!PathExists(path)) continue;
    ASSIGN_OR_RETURN(const auto reader, ErofsReader::Open(path), path);
    ASSIGN_OR_RETURN(tree, reader->LoadTree(), path);
    done = count;
  }
  for (; done < layers.size(); ++done) {
    ASSIGN_OR_RETURN(const auto reader, OpenManifest(layers[done]));
    ASSIGN_OR_RETURN(const Tree layer, reader->LoadTree(), "layer " + layers[done].ToString());
    RETURN_IF_ERROR(ApplyLayer(layer, &tree), "layer " + layers[done].ToString());
  }
  return tree;
}

std::string LayerStore::UnfinishedTree() const {
  return root_ + "/trees/." + std::to_string(unfinished_++);
}

Status LayerStore::WriteTree(const std::vector<Digest>& layers, const std::string& path) const {
  ASSIGN_OR_RETURN(const Tree tree, Flatten(layers, /*use_cache=*/true));
  ASSIGN_OR_RETURN(ScratchFile scratch, ScratchFile::Create(UnfinishedTree()));
  RETURN_IF_ERROR(WriteErofs(tree, scratch.fd()), path);
  return scratch.MoveTo(path);
}

Result<std::string> LayerStore::FlattenedTree(const std::vector<Digest>& layers) {
  CHECK(!layers.empty());
  std::string path = TreePath(layers, layers.size());
  if (PathExists(path)) return path;
  std::shared_ptr<std::mutex> build;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::erase_if(building_, [](const auto& item) { return item.second.expired(); });
    build = building_[path].lock();
    if (build == nullptr) {
      build = std::make_shared<std::mutex>();
      building_[path] = build;
    }
  }
  const std::lock_guard<std::mutex> lock(*build);
  if (!PathExists(path)) RETURN_IF_ERROR(WriteTree(layers, path));
  return path;
}

std::string LayerStore::UsePath(const std::vector<Digest>& layers) const {
  return root_ + "/uses/" + StackName(layers, layers.size());
}

int64_t LayerStore::LastUse(const std::vector<Digest>& layers) const {
  struct stat st;
  if (::stat(UsePath(layers).c_str(), &st) != 0) return 0;
  return st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1'000'000;
}

void LayerStore::NoteUse(const std::vector<Digest>& layers) {
  // Without it the image is evicted sooner than it should be.
  const std::string path = UsePath(layers);
  const auto file = strata::Open(path, O_WRONLY | O_CREAT, 0600);
  if (!file.ok() || ::futimens(file->get(), nullptr) != 0) {
    LOG_WARNING("the use of an image cannot be noted at " + path);
  }
}

Status LayerStore::VerifyFlattenedTree(const std::vector<Digest>& layers) {
  const std::string path = TreePath(layers, layers.size());
  if (!PathExists(path)) return Ok();
  ASSIGN_OR_RETURN(const UniqueFd fd, strata::Open(path, O_RDONLY));
  ASSIGN_OR_RETURN(const Digest actual, HashFile(fd.get()), path);
  ASSIGN_OR_RETURN(const Tree tree, Flatten(layers, /*use_cache=*/false));
  ASSIGN_OR_RETURN(ScratchFile scratch, ScratchFile::Create(UnfinishedTree()));
  ASSIGN_OR_RETURN(const WrittenManifest expected, WriteErofs(tree, scratch.fd()));
  if (actual == expected.digest) return Ok();
  RETURN_IF_ERROR(Remove(path));
  return Error(Code::kCorrupt, "the cached tree " + path +
                                   " differed from its layers; removed, it is built anew when a "
                                   "container needs it");
}

std::string LayerStore::ProfilePath(const std::vector<Digest>& layers) const {
  return root_ + "/profiles/" + StackName(layers, layers.size());
}

Result<StartProfile> LayerStore::Profile(const std::vector<Digest>& layers) const {
  const auto packed = ReadFile(ProfilePath(layers), kProfileObjectsMax * Digest::kSize);
  if (packed.ok()) return UnpackProfile(*packed);
  if (packed.error().code() == Code::kNotFound) return StartProfile();
  return packed.error();
}

Status LayerStore::SaveProfile(const std::vector<Digest>& layers, const StartProfile& profile) {
  return WriteFileAtomically(ProfilePath(layers), PackProfile(profile), 0600);
}

void LayerStore::ForgetCompleteness() {
  const auto names = ListDirectory(root_ + "/trees");
  if (!names.ok()) {
    LOG_WARNING(names.error().message());
    return;
  }
  for (const std::string& name : *names) {
    if (name.ends_with(kCompleteSuffix)) ::unlink((root_ + "/trees/" + name).c_str());
  }
}

Status LayerStore::Sweep(const std::set<Digest>& live_layers,
                         const std::set<std::vector<Digest>>& live_stacks) {
  std::set<std::string> live_trees;
  std::set<std::string> live_names;
  for (const std::vector<Digest>& stack : live_stacks) {
    live_trees.insert(TreePath(stack, stack.size()));
    live_names.insert(StackName(stack, stack.size()));
  }
  for (const std::string folder : {"/profiles/", "/uses/"}) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(root_ + folder));
    for (const std::string& name : names) {
      if (!live_names.contains(name)) RETURN_IF_ERROR(Remove(root_ + folder + name));
    }
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> trees, ListDirectory(root_ + "/trees"));
  for (const std::string& name : trees) {
    const std::string path = root_ + "/trees/" + name;
    const bool record = name.ends_with(kCompleteSuffix);
    const size_t size = path.size() - (record ? kCompleteSuffix.size() : 0);
    if (!live_trees.contains(path.substr(0, size))) RETURN_IF_ERROR(Remove(path));
  }
  RETURN_IF_ERROR(SweepPending(live_layers));
  RETURN_IF_ERROR(SweepShards(root_ + "/manifests", live_layers));
  RETURN_IF_ERROR(SweepShards(root_ + "/lists", live_layers));
  return conversions_->Sweep(live_layers);
}

Status LayerStore::SweepShards(const std::string& folder, const std::set<Digest>& live) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> shards, ListDirectory(folder));
  for (const std::string& shard : shards) {
    const std::string directory = folder + "/" + shard;
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
    for (const std::string& name : names) {
      const auto digest = Digest::FromHex(shard + name);
      if (digest.ok() && live.contains(*digest)) continue;
      RETURN_IF_ERROR(Remove(directory + "/" + name));
    }
  }
  return Ok();
}

}  // namespace strata::imaged
