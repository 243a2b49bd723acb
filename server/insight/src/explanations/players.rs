//! Who shares an answer: features, each for itself or several as one.
//!
//! A feature that is a whole tensor (an image, a sequence) is one player among others; where it is the only feature,
//! each of its elements is one, because one player alone would get everything.

use std::collections::{BTreeMap, BTreeSet};

use candor_domain::{Error, Result, names::quoted};

use super::{About, Placed, layout::Layout};

/// Which features are explained as one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Groups {
    /// Each for itself.
    #[default]
    None,
    /// As the version's owner has put them together.
    Declared,
    /// These: a name, and the features under it.
    Named(Vec<(String, Vec<String>)>),
}

/// Who takes part.
#[derive(Debug)]
pub(crate) struct Players {
    /// Names, in the order of their first column.
    pub(crate) names: Vec<String>,
    /// The features of each; nothing where it is an element of one.
    pub(crate) features: Vec<Vec<usize>>,
    /// The columns of each.
    pub(crate) columns: Vec<Vec<usize>>,
    /// The player of each column.
    pub(crate) of_column: Vec<i64>,
}

impl Players {
    /// The players of a version under a caller's choice.
    ///
    /// # Errors
    /// `InvalidInput` for a feature that is not there or in two groups.
    pub(crate) fn new(about: &About, layout: &Layout, groups: &Groups) -> Result<Self> {
        Self::of(about, layout, groups, about.features.len() == 1)
    }

    /// The same; `by_element` says whether each element of a whole tensor is one.
    pub(crate) fn of(about: &About, layout: &Layout, groups: &Groups, by_element: bool) -> Result<Self> {
        let named = match groups {
            Groups::None => BTreeMap::new(),
            Groups::Declared => declared(about)?,
            Groups::Named(groups) => read(about, groups)?,
        };
        let mut players =
            Self { names: Vec::new(), features: Vec::new(), columns: Vec::new(), of_column: vec![0; layout.columns] };
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, feature) in about.features.iter().enumerate() {
            let columns = layout.columns_of(feature);
            if by_element && feature.place == Placed::Whole && columns.len() > 1 {
                for (element, column) in columns.enumerate() {
                    let name = format!("{}{}", feature.name, place(element, layout.dims_of(feature)));
                    players.add(name, Vec::new(), vec![column]);
                }
                continue;
            }
            match named.get(&index) {
                None => players.add(feature.name.to_string(), vec![index], columns.collect()),
                Some(group) => match seen.get(group.as_str()) {
                    Some(player) => players.join(*player, index, columns.collect()),
                    None => {
                        seen.insert(group, players.names.len());
                        players.add(group.clone(), vec![index], columns.collect());
                    }
                },
            }
        }
        Ok(players)
    }

    fn add(&mut self, name: String, features: Vec<usize>, columns: Vec<usize>) {
        let player = i64::try_from(self.names.len()).unwrap_or(0);
        columns.iter().for_each(|column| {
            if let Some(slot) = self.of_column.get_mut(*column) {
                *slot = player;
            }
        });
        self.names.push(name);
        self.features.push(features);
        self.columns.push(columns);
    }

    fn join(&mut self, player: usize, feature: usize, columns: Vec<usize>) {
        let number = i64::try_from(player).unwrap_or(0);
        for column in &columns {
            if let Some(slot) = self.of_column.get_mut(*column) {
                *slot = number;
            }
        }
        if let (Some(features), Some(own)) = (self.features.get_mut(player), self.columns.get_mut(player)) {
            features.push(feature);
            own.extend(columns);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether somebody has more than one column.
    pub(crate) fn is_grouped(&self) -> bool {
        self.columns.iter().any(|columns| columns.len() != 1)
    }
}

/// The place of an element in a tensor of these dimensions.
fn place(element: usize, dims: &[i64]) -> String {
    let mut rest = element;
    let mut places: Vec<String> = Vec::with_capacity(dims.len());
    for dim in dims.iter().rev() {
        let size = usize::try_from(*dim).unwrap_or(1).max(1);
        places.push((rest % size).to_string());
        rest /= size;
    }
    places.reverse();
    format!("[{}]", places.join(","))
}

/// The groups that the version's owner has made, by feature.
fn declared(about: &About) -> Result<BTreeMap<usize, String>> {
    let groups = about.features.iter().enumerate();
    let groups: BTreeMap<usize, String> =
        groups.filter_map(|(index, feature)| Some((index, feature.group.clone()?))).collect();
    if groups.is_empty() {
        return Err(Error::invalid("this model declares no groups of features")
            .at("groups")
            .hint("give features a group in model.toml, or send groups as {\"name\": [\"feature\", …]}"));
    }
    clash(about, &groups)?;
    Ok(groups)
}

/// The groups that the caller has made, by feature.
fn read(about: &About, groups: &[(String, Vec<String>)]) -> Result<BTreeMap<usize, String>> {
    let mut named = BTreeMap::new();
    for (group, members) in groups {
        for member in members {
            let place = || format!("groups/{}", group.replace('~', "~0").replace('/', "~1"));
            let Some(index) = about.features.iter().position(|feature| *feature.name == **member) else {
                let names: Vec<&str> = about.features.iter().take(12).map(|feature| &*feature.name).collect();
                let error = Error::invalid(format!("the model has no feature {}", quoted(member))).at(place());
                return Err(error.expected(names.join(", ")));
            };
            if named.insert(index, group.clone()).is_some() {
                return Err(Error::invalid(format!("feature '{member}' is in two groups")).at(place()));
            }
        }
    }
    clash(about, &named)?;
    Ok(named)
}

/// A group must not be called like a feature that is not in it.
fn clash(about: &About, groups: &BTreeMap<usize, String>) -> Result<()> {
    let names: BTreeSet<&str> = groups.values().map(String::as_str).collect();
    let alone = about.features.iter().enumerate().filter(|(index, _)| !groups.contains_key(index));
    match alone.map(|(_, feature)| &*feature.name).find(|name| names.contains(name)) {
        Some(name) => Err(Error::invalid(format!("a group is called like the feature '{name}'")).at("groups")),
        None => Ok(()),
    }
}
